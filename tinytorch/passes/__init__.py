"""Graph to Graph, one file each."""
