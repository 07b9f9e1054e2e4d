"""The companion process for live quotes and trades; it meets the batch side in the lake only."""
