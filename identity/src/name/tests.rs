use super::*;

fn zone() -> Zone {
    Zone::parse("dgns.test").expect("a zone")
}

fn check(text: &str, valid: bool) {
    assert_eq!(Name::parse(text, &zone()).is_ok(), valid, "{text}");
}

#[test]
fn the_grammar_of_names_has_these_edges() {
    // Goal: each rule of PROTOCOL 2.1 has an example on both sides.
    check("abc.dgns.test", true);
    check("ab.dgns.test", false);
    check("a.alice.dgns.test", true);
    check(&format!("{}.dgns.test", "a".repeat(63)), true);
    check(&format!("{}.dgns.test", "a".repeat(64)), false);
    check("a-b.dgns.test", true);
    check("-ab.dgns.test", false);
    check("ab-.dgns.test", false);
    check("ab--cd.dgns.test", false);
    check("xn--bcher-kva.alice.dgns.test", false);
    check("abc--d.dgns.test", true);
    check("ab-c.dgns.test", true);
    check("d.c.b.alice.dgns.test", true);
    check("e.d.c.b.alice.dgns.test", false);
    check("Alice.dgns.test", false);
    check("al_ice.dgns.test", false);
    check("älice.dgns.test", false);
    check("alice.dgns.test.", false);
    check("alice..dgns.test", false);
    check(".dgns.test", false);
    check("dgns.test", false);
    check("alicedgns.test", false);
    check("alice.example", false);
    check("", false);
    let deep = format!("{}.{}.alice.dgns.test", "b".repeat(60), "c".repeat(22));
    assert_eq!(deep.len(), 99);
    check(&deep, true);
    check(&format!("b{deep}"), true);
    check(&format!("bb{deep}"), false);
}

#[test]
fn zones_and_origins_name_each_other() {
    assert_eq!(zone().origin().as_str(), "dgns.test/log");
    assert_eq!(Origin::parse("dgns.test/log").map(|o| o.zone()), Ok(zone()));
    for bad in ["", "dgns.test", "/log", "DGNS.test/log", "dgns.test./log", "dgns.test/log/log"] {
        assert_eq!(Origin::parse(bad), Err(NameError), "{bad}");
    }
    assert!(Zone::parse(&["a".repeat(45), "b".repeat(44)].join(".")).is_ok());
    assert!(Zone::parse(&["a".repeat(45), "b".repeat(45)].join(".")).is_err());
    assert!(Zone::parse("xn--bcher-kva.example").is_ok());
}

#[test]
fn what_a_person_types_is_completed() {
    let complete = |text: &str| Name::complete(text, &zone()).map(|name| name.0);
    assert_eq!(complete("alice"), Ok("alice.dgns.test".into()));
    assert_eq!(complete("db.alice"), Ok("db.alice.dgns.test".into()));
    assert_eq!(complete("alice.dgns.test"), Ok("alice.dgns.test".into()));
    assert_eq!(complete("alice.dgns.test."), Ok("alice.dgns.test".into()));
    assert_eq!(complete("alice."), Err(NameError));
    assert_eq!(complete(""), Err(NameError));
}

#[test]
fn ancestors_end_below_the_zone() {
    let name = Name::parse("c.b.alice.dgns.test", &zone()).expect("a name");
    let above: Vec<_> = name.ancestors(&zone()).map(|name| name.0).collect();
    assert_eq!(above, ["b.alice.dgns.test", "alice.dgns.test"]);
    assert_eq!(name.relative(&zone()), "c.b.alice");
    assert!(!name.is_first_level(&zone()));
}

#[test]
fn what_stands_below_a_reserved_label_is_the_operators() {
    for (text, is_so) in [
        ("ns.dgns.test", true),
        ("a.b.www.dgns.test", true),
        ("alice.dgns.test", false),
        ("www.alice.dgns.test", false),
        ("dgns.test", false),
        ("www.example", false),
        ("*.www.dgns.test", false),
        (".www.dgns.test", false),
        ("WWW.dgns.test", false),
        ("", false),
    ] {
        assert_eq!(is_the_operators(text, &zone()), is_so, "{text}");
    }
    assert!(!is_the_operators(&format!("{}www.dgns.test", "a.".repeat(60)), &zone()), "longer than a name");
}

#[test]
fn reserved_labels_bind_the_first_level_alone() {
    assert!(RESERVED.is_sorted());
    assert!(Name::parse("www.dgns.test", &zone()).expect("a name").is_reserved(&zone()));
    assert!(!Name::parse("www.alice.dgns.test", &zone()).expect("a name").is_reserved(&zone()));
    assert!(!Name::parse("alice.dgns.test", &zone()).expect("a name").is_reserved(&zone()));
}
