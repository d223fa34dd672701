"""Ways to write complementary pairs, one file each, all with the signature write(model, pairs, ...)."""
