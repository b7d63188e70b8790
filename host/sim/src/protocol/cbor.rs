//! CBOR as Smithy's RPC v2 protocol uses it: JSON's values, and tagged times.
//! https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html

use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder, decode};
use serde_json::{Map, Value};

/// The deepest nesting of values.
const NESTING: usize = 64;

/// The tag of a time in seconds since 1970.
const TIME: u64 = 1;

/// Reads a value. An empty body is a structure without members.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, decode::Error> {
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    value(&mut Decoder::new(bytes), 0)
}

fn value(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, decode::Error> {
    if depth > NESTING {
        return Err(decode::Error::message("nested too deeply"));
    }
    Ok(match decoder.datatype()? {
        Type::Bool => decoder.bool()?.into(),
        Type::Null => {
            decoder.null()?;
            Value::Null
        }
        Type::Undefined => {
            decoder.undefined()?;
            Value::Null
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => decoder.u64()?.into(),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => decoder.i64()?.into(),
        Type::F16 => f64::from(decoder.f16()?).into(),
        Type::F32 => f64::from(decoder.f32()?).into(),
        Type::F64 => decoder.f64()?.into(),
        Type::String | Type::StringIndef => text(decoder)?.into(),
        Type::Array | Type::ArrayIndef => {
            let mut elements = Vec::new();
            let count = decoder.array()?;
            while more(decoder, count, elements.len())? {
                elements.push(value(decoder, depth + 1)?);
            }
            elements.into()
        }
        Type::Map | Type::MapIndef => {
            let mut members = Map::new();
            let (count, mut read) = (decoder.map()?, 0);
            while more(decoder, count, read)? {
                let name = text(decoder)?;
                members.insert(name, value(decoder, depth + 1)?);
                read += 1;
            }
            members.into()
        }
        Type::Tag => {
            decoder.tag()?;
            value(decoder, depth + 1)?
        }
        other => return Err(decode::Error::type_mismatch(other)),
    })
}

fn text(decoder: &mut Decoder<'_>) -> Result<String, decode::Error> {
    decoder.str_iter()?.collect()
}

/// Whether a list or a map has another item. One of unknown length ends with a break.
fn more(decoder: &mut Decoder<'_>, count: Option<u64>, read: usize) -> Result<bool, decode::Error> {
    match count {
        Some(count) => Ok((read as u64) < count),
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

/// Writes a value. A number with a fraction is a time: the services here that use CBOR return no
/// other fractions.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    // Writing to a Vec does not fail.
    let _ = encode(&mut encoder, value);
    encoder.into_writer()
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encode(encoder: &mut Encoder<Vec<u8>>, value: &Value) -> Written {
    match value {
        Value::Null => encoder.null()?,
        Value::Bool(value) => encoder.bool(*value)?,
        Value::String(text) => encoder.str(text)?,
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => encoder.u64(number)?,
            (None, Some(number)) => encoder.i64(number)?,
            (None, None) => {
                encoder.tag(Tag::new(TIME))?.f64(number.as_f64().unwrap_or_default())?
            }
        },
        Value::Array(elements) => {
            encoder.array(elements.len() as u64)?;
            return elements.iter().try_for_each(|element| encode(encoder, element));
        }
        Value::Object(members) => {
            encoder.map(members.len() as u64)?;
            return members.iter().try_for_each(|(name, value)| {
                encoder.str(name)?;
                encode(encoder, value)
            });
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn values_are_read_as_they_were_written() {
        let value = json!({ "a": [1, -2, "text", true, null], "time": 1.5, "empty": {} });
        assert_eq!(read(&write(&value)).unwrap(), value);
    }

    #[test]
    fn a_time_is_tagged() {
        assert_eq!(write(&json!(1.5)), b"\xc1\xfb\x3f\xf8\0\0\0\0\0\0");
    }

    #[rstest]
    #[case(b"", json!({}))]
    #[case(b"\xbf\x61a\x9f\x01\x02\xff\xff", json!({ "a": [1, 2] }))]
    #[case(b"\x7f\x61a\x61b\xff", json!("ab"))]
    #[case(b"\xc1\x1a\x00\x00\x00\x05", json!(5))]
    fn other_forms_are_read(#[case] bytes: &[u8], #[case] expected: Value) {
        assert_eq!(read(bytes).unwrap(), expected);
    }

    #[rstest]
    #[case::cut(b"\xa1\x61a")]
    #[case::long(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff")]
    #[case::no_text(b"\xa1\x01\x01")]
    #[case::bytes(b"\x41a")]
    #[case::deep(&[0x81; 100])]
    #[case::tags(&[0xc1; 100])]
    fn what_is_malformed_is_refused(#[case] bytes: &[u8]) {
        assert!(read(bytes).is_err());
    }
}
