"""Results: curves, comparisons, figures, reports, renderings."""
