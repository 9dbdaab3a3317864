"""Transactions on Kafka: examined every hour, and at once when committed readers stand still."""
