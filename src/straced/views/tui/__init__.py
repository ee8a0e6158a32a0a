"""The live screen. Rows, columns and words are plain Python; only the widgets need Textual."""
