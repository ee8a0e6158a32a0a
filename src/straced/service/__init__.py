"""The service: watches processes, keeps what they did, says what changed, and answers every user what they may see."""
