"""What the pages of the book share: settings of a run, records of figures and claims, and tables."""
