"""Labels that networks give to unlabelled volumes: ranked, chosen, united, carried over by registration."""
