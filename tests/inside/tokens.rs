//! Every small change of a token, every mixture of two, and every wrong context: nothing opens.
