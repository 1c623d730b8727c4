"""The lab's own house: how much its files take, what of them can go, and a report for whoever mends it. Light."""
