"""Option prices, implied vols and Greeks. Kernels only; markets and positions live elsewhere."""
