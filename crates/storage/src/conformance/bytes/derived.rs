//! Forms of assets.

use std::collections::HashSet;

use bytes::Bytes;
use favonius_contract::AssetRef;
use futures::TryStreamExt;

use super::{Store, asset, assets_in, claim, content, keys, put, read};
use crate::{Assets, Coding};

async fn read_form(assets: &Assets, coding: Coding, of: AssetRef) -> Option<Vec<u8>> {
    let size = assets.derived_size(coding, of).await.unwrap();
    let Some(form) = assets.open_derived(coding, of).await.unwrap() else {
        assert_eq!(size, None, "{coding}");
        return None;
    };
    assert_eq!(size, Some(form.size), "{coding}");
    let pieces: Vec<Bytes> = form.bytes.try_collect().await.unwrap();
    let bytes = pieces.concat();
    assert_eq!(bytes.len() as u64, form.size, "{coding}");
    Some(bytes)
}

/// Each coding has its own, each asset too, and none is an asset.
pub async fn forms_stand_beside_their_assets(store: Store) {
    let (assets, _) = assets_in(&store);
    let (one, other) = (asset(b"one", "x"), asset(b"other", "x"));
    let same_hash = AssetRef { size: 4, ..one };
    put(&assets, claim(one, "x"), b"one").await.unwrap();
    let large = content(3_000_000, 10);
    // One of no bytes is a form, too.
    let forms = [
        (Coding::Brotli, large),
        (Coding::Zstd, b"zstd".to_vec()),
        (Coding::Gzip, Vec::new()),
    ];
    for (coding, form) in &forms {
        assert_eq!(read_form(&assets, *coding, one).await, None, "{coding}");
        assets
            .put_derived(*coding, one, form.clone().into())
            .await
            .unwrap();
    }
    let (reader, _) = assets_in(&store);
    for (coding, form) in forms {
        // Compared as a whole, not shown: a difference of megabytes helps nobody.
        assert!(
            read_form(&reader, coding, one).await == Some(form),
            "{coding}"
        );
        for another in [other, same_hash] {
            assert_eq!(read_form(&reader, coding, another).await, None, "{coding}");
        }
        assert!(
            keys(&store)
                .await
                .contains(&format!(".favonius/coded/{coding}/{one}"))
        );
    }
    // A form is there without its asset, and makes it neither present nor listed.
    assets
        .put_derived(Coding::Gzip, other, "form".into())
        .await
        .unwrap();
    assert!(!reader.contains(other).await.unwrap());
    assert_eq!(read(&reader, other, None).await.unwrap(), None);
    let listed: Vec<_> = reader.list().try_collect().await.unwrap();
    assert_eq!(listed, [one]);
    reader.check().await.unwrap();
}

/// By one that is shorter or longer.
pub async fn a_form_is_replaced(store: Store) {
    let (assets, _) = assets_in(&store);
    let of = asset(b"content", "x");
    for form in [b"second" as &[u8], b"", b"the longest of all"] {
        assets
            .put_derived(Coding::Zstd, of, Bytes::copy_from_slice(form))
            .await
            .unwrap();
        assert_eq!(
            read_form(&assets, Coding::Zstd, of).await.as_deref(),
            Some(form)
        );
    }
}

/// Those of others stay.
pub async fn forms_go_with_their_asset(store: Store) {
    let (assets, _) = assets_in(&store);
    let (gone, stays) = (asset(b"gone", "x"), asset(b"stays", "x"));
    for (of, content) in [(gone, b"gone" as &[u8]), (stays, b"stays")] {
        put(&assets, claim(of, "x"), content).await.unwrap();
        for coding in Coding::ALL {
            assets.put_derived(coding, of, "form".into()).await.unwrap();
        }
    }
    assets.remove(gone).await.unwrap();
    for coding in Coding::ALL {
        assert_eq!(read_form(&assets, coding, gone).await, None, "{coding}");
        let kept = read_form(&assets, coding, stays).await;
        assert_eq!(kept.as_deref(), Some(&b"form"[..]), "{coding}");
    }
    assets.remove_derived(stays).await.unwrap();
    assets.remove_derived(stays).await.unwrap();
    assert_eq!(keys(&store).await, HashSet::from([stays.to_string()]));
}
