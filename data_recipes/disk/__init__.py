"""Files written whole, markers of finished work, temporary spill files."""
