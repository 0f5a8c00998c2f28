//! JSON bodies, one module a family. Fields stand in the alphabetical order of their JSON names: that is the order Apache writes them in.
