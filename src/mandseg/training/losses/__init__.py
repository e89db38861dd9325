"""Losses that tolerate wrong labels, one class a file; all map logits and labels, (B, 1, X, Y, Z), to one number."""
