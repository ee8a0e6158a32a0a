"""Who may be traced, before an attach; why not, after a refusal."""
