"""An application that tells users what happens, in the style of 2019."""
