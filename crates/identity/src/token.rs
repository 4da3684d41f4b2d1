//! Signed tokens: JSON Web Tokens (RFC 7519) in compact form with ES256 (RFC 7518), nothing else.
//!
//! Only this server makes and reads them, so there is one algorithm and no choice to get wrong. The signature itself is
//! ring's, which the TLS side brings anyway.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::AuthError;

/// Longer ones are none of ours.
const LONGEST: usize = 8 * 1024;

/// What a token is for; a token of one type is not taken for one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TokenType {
    #[serde(rename = "at+jwt")]
    Access,
    #[serde(rename = "JWT")]
    Id,
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessClaims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) tid: String,
    /// The principal's id, under the three names that programs look for.
    pub(crate) sub: String,
    pub(crate) oid: String,
    pub(crate) appid: String,
    /// Seconds since the epoch.
    pub(crate) iat: u64,
    pub(crate) nbf: u64,
    pub(crate) exp: u64,
    pub(crate) jti: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: TokenType,
    kid: String,
}

/// A key that signs and verifies.
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pub(crate) created_ms: u64,
    pair: EcdsaKeyPair,
}

/// A key as stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredKey {
    pub(crate) created_ms: u64,
    /// PKCS #8, base64.
    pub(crate) pkcs8: String,
}

impl StoredKey {
    pub(crate) fn generate(now_ms: u64) -> StoredKey {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .expect("a key can be made while the kernel gives random bytes");
        StoredKey { created_ms: now_ms, pkcs8: URL_SAFE_NO_PAD.encode(document) }
    }

    /// Returns none where what is stored is no key.
    pub(crate) fn open(&self, id: &str) -> Option<SigningKey> {
        let der = URL_SAFE_NO_PAD.decode(&self.pkcs8).ok()?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new()).ok()?;
        Some(SigningKey { id: id.to_owned(), created_ms: self.created_ms, pair })
    }
}

impl SigningKey {
    pub(crate) fn sign<C: Serialize>(&self, typ: TokenType, claims: &C) -> String {
        let header = Header { alg: "ES256".to_owned(), typ, kid: self.id.clone() };
        let mut token = format!("{}.{}", part(&header), part(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), token.as_bytes())
            .expect("a sound key signs while the kernel gives random bytes");
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        token
    }
}

/// Reads a token of this type that one of the keys signed. Times and audience are the caller's to check.
///
/// # Errors
/// `Invalid`, whatever is wrong: a stranger learns nothing from it.
pub(crate) fn verify<'k, C: DeserializeOwned>(
    token: &str,
    typ: TokenType,
    find: impl FnOnce(&str) -> Option<&'k SigningKey>,
) -> Result<C, AuthError> {
    if token.len() > LONGEST {
        return Err(AuthError::Invalid);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(AuthError::Invalid)?;
    let (header, claims) = signed.split_once('.').ok_or(AuthError::Invalid)?;
    let header: Header = read(header)?;
    if header.alg != "ES256" || header.typ != typ {
        return Err(AuthError::Invalid);
    }
    let key = find(&header.kid).ok_or(AuthError::Invalid)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| AuthError::Invalid)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key())
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| AuthError::Invalid)?;
    read(claims)
}

fn part<T: Serialize>(value: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, AuthError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| AuthError::Invalid)?;
    serde_json::from_slice(&bytes).map_err(|_| AuthError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> SigningKey {
        StoredKey::generate(0).open(id).unwrap()
    }

    fn claims(sub: &str) -> serde_json::Value {
        serde_json::json!({ "sub": sub })
    }

    #[test]
    fn a_token_that_was_tampered_with_is_refused() {
        let key = key("1");
        let token = key.sign(TokenType::Access, &claims("alice"));
        let check = |token: &str| verify::<serde_json::Value>(token, TokenType::Access, |id| (id == "1").then_some(&key));
        assert_eq!(check(&token).unwrap()["sub"], "alice");

        let parts: Vec<&str> = token.split('.').collect();
        let other = part(&claims("mallory"));
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt","kid":"1"}"#);
        let hmac = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"at+jwt","kid":"1"}"#);
        let elsewhere = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"at+jwt","kid":"2"}"#);
        for forged in [
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{hmac}.{}.{}", parts[1], parts[2]),
            format!("{elsewhere}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)),
            format!("{token}A"),
            format!("{token}.x"),
            String::new(),
            "..".to_owned(),
            "x".repeat(LONGEST + 1),
        ] {
            assert_eq!(check(&forged), Err(AuthError::Invalid), "{forged}");
        }
    }

    #[test]
    fn an_id_token_is_no_access_token() {
        let key = key("1");
        let token = key.sign(TokenType::Id, &claims("alice"));
        assert!(verify::<serde_json::Value>(&token, TokenType::Access, |_| Some(&key)).is_err());
        assert!(verify::<serde_json::Value>(&token, TokenType::Id, |_| Some(&key)).is_ok());
    }

    #[test]
    fn a_key_of_the_same_name_elsewhere_does_not_verify() {
        let (ours, theirs) = (key("1"), key("1"));
        let token = theirs.sign(TokenType::Access, &claims("alice"));
        assert!(verify::<serde_json::Value>(&token, TokenType::Access, |_| Some(&ours)).is_err());
    }
}
