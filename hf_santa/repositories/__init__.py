"""Write, check and open the folders that become repositories on the Hub."""
