"""Workers as seen from the site: control connections, nodes, clusters, faults."""
