"""A verb without its command line: what run, attach, trace, report, doctor and serve do."""
