"""`gantry canary`: a small made-up image goes the way of every image, again and again, and is counted on its way."""
