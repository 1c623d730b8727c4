"""What is told about finished runs: summaries, tables and exports, always read from run folders."""
