//! What the tests of these operations share.
