"""What was measured, shown: curves, comparisons, figures, reports, renderings."""
