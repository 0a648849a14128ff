"""Label space, routing table, labelled opinions; what reads, checks and splits them."""
