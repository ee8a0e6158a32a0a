"""OpenMetrics: what Prometheus, VictoriaMetrics and the node exporter's textfile read."""
