"""What the judge checks, one module per player; none knows how the point was found."""
