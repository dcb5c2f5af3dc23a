use super::*;

fn bitmap(ordinals: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ordinals.iter().collect::<RoaringBitmap>().serialize_into(&mut bytes).unwrap();
    bytes
}

#[test]
fn of_many_devices_only_the_one_is_left() {
    assert_eq!(only(&bitmap(&[3, 7, 70_000]), 7), Ok(bitmap(&[ALONE])));
    assert_eq!(only(&bitmap(&[3, 70_000]), 7), Ok(bitmap(&[])));
    assert_eq!(only(&[], 7), Ok(Vec::new()));
    assert!(only(&[1, 2, 3], 7).is_err());
}
