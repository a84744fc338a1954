//! Who is asking: JSON Web Tokens, key sets, revocation.
