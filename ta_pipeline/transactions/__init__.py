"""What the doctor knows of Kafka transactions.

look       what the broker says: transactions, and where committed readers stand
broker     asks it, and aborts one transaction
owners     whose a transaction is: a running job's, or what a dead deployment left
verdicts   what is wrong, as pure functions
doctor     all of it together
"""
