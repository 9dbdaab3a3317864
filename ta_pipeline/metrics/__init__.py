"""What Prometheus sees of the platform, and what is made of it.

catalog    every metric that rules and dashboard use: name, kind, unit, labels, meaning
scrape     where Prometheus gets them, and how it names what Flink cannot label
limits     from which number on something is wrong; monitoring's verdicts have the same ones
alerts     the rules
page       docs/metrics.md
panels     what a person looks at
dashboard  the panels for Grafana
report     the panels as a picture and a page
"""
