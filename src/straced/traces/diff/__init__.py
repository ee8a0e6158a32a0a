"""What changed between two recordings: traces, saved summaries, or several runs of each."""
