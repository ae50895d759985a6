"""Files, processes, plotting and errors: nothing here knows what a bag is."""
