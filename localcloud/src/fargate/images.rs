//! Which program an image name stands for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The image that burns CPU and memory, and its program.
const HOG: (&str, &str) = ("hog", "penstock-hog");

/// Registers the image `hog`, if its program was built beside the running one and nobody took the name.
pub(super) fn add_hog(images: &mut BTreeMap<String, Vec<String>>) {
    let (image, program) = HOG;
    if let Some(path) = beside_this_program(program) {
        images
            .entry(image.to_owned())
            .or_insert_with(|| vec![path.display().to_string()]);
    }
}

/// The command of an image: of its whole name, or of its name without tag and digest.
pub(super) fn command<'a>(images: &'a BTreeMap<String, Vec<String>>, image: &str) -> Option<&'a [String]> {
    let command = images.get(image).or_else(|| images.get(without_tag(image)))?;
    (!command.is_empty()).then_some(command)
}

/// The file that runs as `program`: itself if it is a path, else the first of that name in `search_path`.
pub(super) fn find_program(program: &str, search_path: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_executable(path));
    }
    std::env::split_paths(search_path)
        .map(|directory| directory.join(program))
        .find(|path| is_executable(path))
}

fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

fn beside_this_program(program: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    // Test programs live one directory below the others.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(program))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_stands_for_all_tags_and_a_tagged_one_for_itself() {
        let images = BTreeMap::from([
            ("host:5000/bridge".to_owned(), vec!["any".to_owned()]),
            ("host:5000/bridge:2".to_owned(), vec!["two".to_owned()]),
        ]);
        assert_eq!(
            command(&images, "host:5000/bridge:1"),
            Some(["any".to_owned()].as_slice())
        );
        assert_eq!(
            command(&images, "host:5000/bridge:2"),
            Some(["two".to_owned()].as_slice())
        );
        assert_eq!(
            command(&images, "host:5000/bridge@sha256:00"),
            Some(["any".to_owned()].as_slice())
        );
        assert_eq!(command(&images, "bridge:1"), None);
    }

    #[test]
    fn programs_are_found_by_path_and_by_name() {
        assert_eq!(find_program("sh", "/nowhere:/bin"), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_program("/nowhere/sh", "/bin"), None);
    }
}
