"""Full traces: read strace's text at speed, analyse it, compare two of them, hand it to other tools."""
