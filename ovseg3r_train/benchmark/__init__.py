"""Methods side by side on the same labelled scenes."""
