"""What `fairlead doctor` reads of a cluster, makes of it, and packs: with whatever users have put in cut out."""
