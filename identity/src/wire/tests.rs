use super::*;

type Read = fn(&mut Reader<'_>) -> Result<(), WireError>;

/// The code with which `read` refuses `hex`, or "ok" if it reads all of it.
fn code(hex: &str, read: Read) -> &'static str {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
    let mut reader = Reader::new(&bytes);
    match read(&mut reader).and_then(|()| reader.end()) {
        Ok(()) => "ok",
        Err(error) => error.code(),
    }
}

const UINT: Read = |r| r.uint().map(drop);
const BYTES: Read = |r| r.bytes().map(drop);
const TEXT: Read = |r| r.text().map(drop);
const ARRAY: Read = |r| r.list(9, |r| r.uint()).map(drop);
const MAP: Read = |r| {
    let mut fields = r.fields()?;
    fields.required(1, |r| r.uint())?;
    fields.optional(2, |r| r.uint())?;
    fields.end()
};

#[test]
fn integers_have_one_spelling() {
    for good in ["00", "17", "1818", "18ff", "190100", "1a00010000", "1b0000000100000000", "1bffffffffffffffff"] {
        assert_eq!(code(good, UINT), "ok", "{good}");
    }
    for long in ["1817", "1900ff", "1a0000ffff", "1b00000000ffffffff"] {
        assert_eq!(code(long, UINT), "not_canonical", "{long}");
    }
    for broken in ["", "18", "1901", "1c", "1f", "0000", "20", "c100", "f90000", "f7", "ff", "e0", "f820"] {
        assert_eq!(code(broken, UINT), "bad_cbor", "{broken}");
    }
    for other in ["40", "60", "80", "a0", "f5", "f6"] {
        assert_eq!(code(other, UINT), "bad_field", "{other}");
    }
}

#[test]
fn strings_have_one_spelling() {
    for (good, read) in [("43010203", BYTES), ("63616263", TEXT), ("62c3a4", TEXT)] {
        assert_eq!(code(good, read), "ok", "{good}");
    }
    for (long, read) in [("5803010203", BYTES), ("7803616263", TEXT), ("5f4101ff", BYTES), ("7f6161ff", TEXT)] {
        assert_eq!(code(long, read), "not_canonical", "{long}");
    }
    for (broken, read) in [("430102", BYTES), ("61ff", TEXT), ("5bffffffffffffffff00", BYTES), ("4301020300", BYTES)] {
        assert_eq!(code(broken, read), "bad_cbor", "{broken}");
    }
}

#[test]
fn lengths_beyond_the_input_are_refused_before_anything_is_allocated() {
    for (lie, read) in [("9bffffffffffffffff", ARRAY), ("8301", ARRAY), ("bbffffffffffffffff", MAP), ("a201", MAP)] {
        assert_eq!(code(lie, read), "bad_cbor", "{lie}");
    }
    assert_eq!(code("9f01ff", ARRAY), "not_canonical");
    assert_eq!(code("bf0101ff", MAP), "not_canonical");
    assert_eq!(code("8a00000000000000000000", ARRAY), "bad_field");
}

#[test]
fn map_keys_ascend_and_are_all_known() {
    assert_eq!(code("a10105", MAP), "ok");
    assert_eq!(code("a201050206", MAP), "ok");
    assert_eq!(code("a202060105", MAP), "bad_field");
    assert_eq!(code("a201050105", MAP), "not_canonical");
    assert_eq!(code("a3010502060105", MAP), "not_canonical");
    assert_eq!(code("a201050306", MAP), "bad_field");
    assert_eq!(code("a10206", MAP), "bad_field");
    assert_eq!(code("a0", MAP), "bad_field");
    assert_eq!(code("a161610105", MAP), "bad_cbor");
}

#[test]
fn what_a_writer_writes_a_reader_reads() {
    let mut writer = Writer::new();
    writer.array(6).uint(24).bytes(&[1, 2]).text("ä").null().bool(true).map(1).uint(1).raw(&[0x05]);
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes);
    assert_eq!(reader.array(), Ok(6));
    assert_eq!(reader.uint_to(23), Err(WireError::Unexpected));
    let mut reader = Reader::new(&bytes);
    reader.array_of(6).expect("six items");
    assert_eq!(reader.uint_to(24), Ok(24));
    assert_eq!(reader.fixed(), Ok([1, 2]));
    assert_eq!(reader.text(), Ok("ä"));
    assert_eq!(reader.or_null(|r| r.uint()), Ok(None));
    assert_eq!(reader.bool(), Ok(true));
    assert_eq!(reader.map(), Ok(1));
    assert_eq!(reader.uint(), Ok(1));
    assert_eq!(reader.or_null(|r| r.uint()), Ok(Some(5)));
    assert_eq!(reader.end(), Ok(()));
}
