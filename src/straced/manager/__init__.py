"""StraceManager and ProcessGroupManager: the contract that a daemon codes against."""
