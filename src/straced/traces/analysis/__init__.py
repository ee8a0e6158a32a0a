"""From lines to counts, tasks, descriptors, files and findings."""
