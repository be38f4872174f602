# The wrapping of compiled classes: nothing here has any.
