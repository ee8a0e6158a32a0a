"""The answer of `why` as text, a tree, a graph or a bundle."""
