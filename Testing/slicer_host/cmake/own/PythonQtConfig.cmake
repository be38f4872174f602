# The library that embeds Python in Slicer: nothing here is linked to it.
