//! What every command has in common.

use crate::support::{program, run};

#[tokio::test]
async fn help_comes_with_an_example() {
    for (arguments, expected) in [
        (&["--help"][..], "Example:\n  favonius dev dist"),
        (&["dev", "--help"], "Example:\n  favonius dev "),
        (&["deploy", "--help"], "Example:\n  favonius deploy "),
        (&["publish", "--help"], "Example:\n  favonius publish "),
        (&["unpublish", "--help"], "Example:\n  favonius unpublish "),
        (
            &["replication", "status", "--help"],
            "Example:\n  favonius replication status ",
        ),
        (&["token", "--help"], "$(favonius token "),
        (
            &["config", "check", "--help"],
            "Example:\n  favonius config check ",
        ),
        (
            &["completions", "--help"],
            "Example:\n  favonius completions ",
        ),
    ] {
        let finished = run(program(arguments)
            .env("FAVONIUS_TOKEN", "hunter2")
            .env("FAVONIUS_APP", "shop"))
        .await;
        assert_eq!(
            (finished.status, &*finished.stderr),
            (0, ""),
            "{arguments:?}"
        );
        assert!(
            finished.stdout.contains(expected),
            "{arguments:?}: {}",
            finished.stdout
        );
        assert!(!finished.stdout.contains("hunter2"), "{arguments:?}");
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    for arguments in [
        &["no-such-command"][..],
        &["dev", "--no-such-option"],
        &[],
        &["config"],
    ] {
        let finished = run(&mut program(arguments)).await.expect(2);
        assert!(
            finished.stderr.contains("Usage:"),
            "{arguments:?}: {finished:#?}"
        );
    }
    run(&mut program(["--version"])).await.expect(0);
}

#[tokio::test]
async fn shells_can_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let finished = run(&mut program(["completions", shell])).await.expect(0);
        assert!(finished.stdout.contains("token-file"), "{shell}");
    }
}
