//! The commands that serve nothing, and what `kolk serve` does for the person in front of it.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use program::scratch::Scratch;
use program::{Kolk, command, eventually, free_address, run};

#[cfg(feature = "top")]
#[test]
fn a_server_is_watched_over_its_admin_listener() {
    let admin = free_address();
    let kolk = Kolk::start(&["--admin", &admin]);
    let watched = |address: &str| run(&mut command(&["top", address, "--once", "--interval", "300ms"]));
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watched(&admin));
        while !watching.is_finished() {
            assert_eq!(kolk.get("/nothing-here").status(), 404);
            let mut stream = TcpStream::connect(&kolk.address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n").unwrap();
        }
        let (code, screen, stderr) = watching.join().unwrap();
        assert_eq!((code, &*stderr), (Some(0), ""));
        let said = [&*admin, "1 worker", "requests/s", "4xx", "idle", "parse.space_before_colon", "│* "];
        for said in said {
            assert!(screen.contains(said), "{said}:\n{screen}");
        }
    });
    let (code, _, stderr) = watched(&kolk.address);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("it answers 404: is it an admin listener (--admin)?"), "{stderr}");
    let (code, _, stderr) = run(&mut command(&["top"]));
    assert_eq!((code, stderr.contains("whom to watch? kolk top HOST:PORT")), (Some(2), true), "{stderr}");
}

#[test]
fn what_became_of_a_request_is_told() {
    let dir = Scratch::new("why");
    let (admin, address) = (free_address(), free_address());
    let text = format!(
        r#"
        [server]
        workers = 1
        admin = "{admin}"
        request_ids = "any"
        [log.access.main]
        to = "log"
        redact = ["query:ticket"]
        [[listen]]
        addr = "{address}"
        [[site]]
        hosts = ["*"]
        respond = 404
        [[site.route]]
        path = "/hello"
        respond = {{ text = "hello" }}
        "#
    );
    let file = dir.join("kolk.toml");
    fs::write(&file, text).unwrap();
    let kolk = Kolk::spawn(&mut command(&["serve", "-c", file.to_str().unwrap()]));
    let mut client = kolk.connect();
    let answer = client.ask(
        "GET /hello?ticket=s3cret HTTP/1.1\r\nHost: a\r\nX-Request-Id: order-17\r\n\
         Cookie: c=s3cret\r\n\r\n",
    );
    assert_eq!((answer.status(), answer.field("x-request-id")), (200, Some("order-17")));
    client.send("GET /hello HTTP/1.1\r\nHost : a\r\n\r\n");
    assert_eq!(client.answer().status(), 400);
    let why = |arguments: &[&str]| run(command(&["why", "--admin", &admin]).args(arguments));
    let (code, story, stderr) = why(&["order-17"]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(story.starts_with("GET /hello?ticket=*** HTTP/1.1\n200\n\n  id          order-17\n"), "{story}");
    assert!(
        story.contains("\n  site        *\n  route       /hello\n")
            && story.ends_with("\n  Cookie: (not kept)\n"),
        "{story}"
    );
    let (_, json, _) = why(&["order-17", "--json"]);
    assert!(json.starts_with("{\"id\":\"order-17\",") && json.lines().count() == 1, "{json}");
    let (_, lines, _) = why(&[]);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("  200  order-17  GET /hello?ticket=*** HTTP/1.1"), "{lines:?}");
    assert!(lines[1].ends_with("a head that could not be read  parse.space_before_colon"), "{lines:?}");
    // Whoever was given no id is called by a number.
    let number = lines[1].split("  ").nth(2).unwrap();
    let (code, story, _) = why(&[number]);
    assert_eq!(code, Some(0));
    assert!(story.contains("\n400 parse.space_before_colon: ") && story.contains(number), "{story}");
    assert!(story.contains("\nwhat to do: leave out the space"), "{story}");
    let (code, _, stderr) = why(&["order-18"]);
    assert_eq!((code, stderr.contains("no request order-18 is remembered")), (Some(1), true), "{stderr}");
}

#[test]
fn a_server_is_found_by_its_file() {
    let dir = Scratch::new("found");
    let admin = free_address();
    let site = "[[listen]]\naddr = \"127.0.0.1:0\"\n[[site]]\nhosts = \"*\"\nrespond = 404\n";
    let server = format!("[server]\nworkers = 1\nadmin = \"{admin}\"\nrequest_ids = \"any\"\n");
    dir.put("kolk.toml", server + site);
    let path = dir.join("kolk.toml").to_str().unwrap().to_owned();
    let kolk = Kolk::spawn(&mut command(&["serve", "-c", &path]));
    let id_of = |sent: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {sent}\r\n\r\n");
        kolk.connect().ask(&request).field("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id_of("order-17"), "order-17");
    // What a path would swallow is no id.
    assert_eq!(id_of("../x").len(), 32);
    let why = |arguments: &[&str]| run(command(&["why", "order-17"]).args(arguments).current_dir(&*dir));
    for whose in [&[][..], &["--admin", &admin], &["-c", &path]] {
        let (code, told, stderr) = why(whose);
        assert_eq!((code, told.contains("  id          order-17\n")), (Some(0), true), "{whose:?} {stderr}");
    }
    #[cfg(feature = "top")]
    assert_eq!(run(command(&["top", "--once", "--interval", "1ms"]).current_dir(&*dir)).0, Some(0));
    dir.put("kolk.toml", site);
    let (code, _, stderr) = why(&[]);
    assert_eq!(
        (code, stderr.contains("kolk.toml has no `admin`: whom to ask?")),
        (Some(2), true),
        "{stderr}"
    );
    let (code, _, stderr) = run(&mut command(&["why", "order-17"]));
    assert_eq!((code, stderr.contains("whom to ask? --admin HOST:PORT")), (Some(2), true), "{stderr}");
}

#[test]
fn a_server_that_answers_is_well() {
    let kolk = Kolk::start(&[]);
    let (code, stdout, stderr) =
        run(&mut command(&["healthcheck", &format!("http://{}/json", kolk.address)]));
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(stdout.starts_with(&format!("http://{}/json is well: 200 in ", kolk.address)), "{stdout}");
    assert_eq!(stdout.lines().count(), 1);
    // Without a URL: where this environment would have kolk listen.
    let (code, stdout, _) = run(command(&["healthcheck"]).env("KOLK_LISTEN", &kolk.address));
    assert_eq!(code, Some(0), "{stdout}");
}

#[test]
fn a_server_behind_a_socket_file_is_asked_too() {
    let dir = Scratch::new("health");
    let socket = format!("unix:{}", dir.join("k.sock").display());
    let _kolk = Kolk::spawn(&mut command(&["-w", "1", "-l", "127.0.0.1:0", "-l", &socket]));
    let (code, _, stderr) = run(&mut command(&["healthcheck", &socket]));
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_server_that_answers_wrongly_or_not_at_all_is_not_well() {
    let kolk = Kolk::start(&[]);
    let (code, stdout, stderr) = run(&mut command(&["healthcheck", &format!("{}/nowhere", kolk.address)]));
    assert_eq!((code, &*stdout), (Some(1), ""));
    assert!(stderr.contains("is not well: it answers 404"), "{stderr}");
    let (code, _, stderr) = run(&mut command(&["healthcheck", &free_address()]));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("is not well: ") && stderr.lines().count() == 1, "{stderr}");
    let dir = Scratch::new("bare");
    let bare = Kolk::start(&["serve", dir.to_str().unwrap()]);
    let (code, stdout, _) = run(&mut command(&["healthcheck", "-l", &bare.address]));
    assert_eq!(code, Some(0), "it works, whatever it has at /: {stdout}");
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, part) in [
        ("bash", "complete -F _kolk"),
        ("zsh", "#compdef kolk"),
        ("fish", "complete -c kolk"),
        ("elvish", "kolk"),
    ] {
        let (code, stdout, stderr) = run(&mut command(&["completions", shell]));
        assert_eq!((code, &*stderr), (Some(0), ""), "{shell}");
        assert!(stdout.contains(part) && stdout.contains("healthcheck"), "{shell}: {stdout}");
    }
    let (code, _, stderr) = run(&mut command(&["completions", "command.com"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("bash"), "{stderr}");
}

#[test]
fn the_man_page_is_one() {
    let (code, stdout, _) = run(&mut command(&["man"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains(".TH kolk 1") && stdout.contains("\n.SH \"KOLK SERVE\"\n"), "{stdout}");
    assert!(stdout.contains("\\-\\-qr") && stdout.contains("\n.SH EXIT CODES\n.nf\n"), "{stdout}");
}

#[test]
fn a_configuration_is_checked_and_shown() {
    let dir = Scratch::new("check");
    let file = dir.join("kolk.toml");
    let check = |arguments: &[&str]| run(command(&["check"]).args(arguments).current_dir(&*dir));
    // ./kolk.toml is found by itself.
    assert_eq!(check(&[]).0, Some(3));
    fs::write(&file, "[server]\npin = true\n[[site]]\nhosts = \"*\"\nrespond = 404\n").unwrap();
    assert_eq!(check(&[]), (Some(0), "kolk.toml: 1 site, 0 routes: fine\n".into(), String::new()));
    let (code, stdout, stderr) = check(&["--dump", "-c", "kolk.toml"]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(stdout.contains("\npin = true ") && stdout.contains("# kolk.toml:2\n"), "{stdout}");
    assert!(stdout.contains("\nworkers = \"auto\" ") && stdout.contains("# default\n"), "{stdout}");
    // With the flags and the variables that count beside the file, and no others.
    let mut dump = command(&["check", "--dump", "-w", "3", "--log", "json", "-l", ":81"]);
    let dump = dump.env("KOLK_USER", "12345:12345").env("KOLK_WORKERS", "4").env("KOLK_ADMIN", ":82");
    let (code, stdout, stderr) = run(dump.current_dir(&*dir));
    assert_eq!((code, stderr.contains("warn: KOLK_ADMIN says nothing")), (Some(0), true), "{stderr}");
    for (value, origin) in [
        ("workers = 3 ", "--workers of the command line"),
        ("user = \"12345:12345\" ", "KOLK_USER of the environment"),
        ("addr = \":81\" ", "--listen of the command line"),
        ("format = \"json\" ", "--log of the command line"),
        ("pin = true ", "kolk.toml:2"),
        ("backlog = 4096 ", "default"),
    ] {
        let line = stdout.lines().find(|line| line.starts_with(value)).unwrap_or_else(|| panic!("{stdout}"));
        assert!(line.ends_with(&format!(" # {origin}")), "{line}");
    }
    let (code, _, stderr) = check(&["--keepalive", "1s"]);
    assert_eq!((code, stderr.contains("--keepalive says nothing beside kolk.toml")), (Some(2), true));
    // What a start would want of the machine, and whoever checks may not have.
    let socket = dir.join("log.sock");
    let log = format!("[log.access.main]\nto = \"unix:{}\"\n", socket.display());
    fs::write(&file, format!("{log}[[site]]\nhosts = \"*\"\naccess_log = \"main\"\nrespond = 404\n"))
        .unwrap();
    let (code, _, stderr) = check(&[]);
    let told = format!("kolk: warn: nobody reads {} (kolk.toml:2): before", socket.display());
    assert!(code == Some(0) && stderr.starts_with(&told), "{code:?} {stderr}");
    let _reader = UnixDatagram::bind(&socket).unwrap();
    assert_eq!(check(&[]), (Some(0), "kolk.toml: 1 site, 0 routes: fine\n".into(), String::new()));
    // All errors at once, on standard error, without colours where nobody looks.
    fs::write(&file, "[server]\npni = true\nworkers = 0\n").unwrap();
    let (code, stdout, stderr) = check(&[]);
    assert_eq!((code, &*stdout), (Some(3), ""));
    assert_eq!(
        stderr,
        "error: unknown key `pni` in [server]\n --> kolk.toml:2:1\n  |\n2 | pni = true\n  | ^^^ did you mean \
         `pin`?\n\nerror: expected a whole number from 1 to 1024, found 0\n --> kolk.toml:3:11\n  |\n\
         3 | workers = 0\n  |           ^\n\nkolk.toml: 2 errors\n"
    );
    // A start says it in as many lines.
    let excerpts = stderr.trim_end_matches("kolk.toml: 2 errors\n");
    let serve = run(command(&["serve", "-c", "kolk.toml"]).current_dir(&*dir));
    assert_eq!(serve, (Some(3), String::new(), format!("{excerpts}kolk: 2 errors in kolk.toml\n")));
}

#[cfg(feature = "jwt")]
#[test]
fn keys_that_are_no_secret_may_be_read_and_those_that_are_not_known_are_named() {
    let dir = Scratch::new("check-keys");
    let file = dir.join("kolk.toml");
    let api = "[auth.api]\nkind = \"jwt\"\nalgorithms = [\"HS256\", \"ES256\"]\njwks = \"keys.json\"\n";
    fs::write(&file, format!("{api}[[site]]\nhosts = \"*\"\nauth = \"api\"\nrespond = 404\n")).unwrap();
    let point = "\"x\": \"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\", \
                 \"y\": \"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"";
    let public = format!("{{\"kty\": \"EC\", \"crv\": \"P-256\", {point}}}");
    let told = |keys: &str| {
        let path = dir.join("keys.json");
        fs::write(&path, format!("{{\"keys\": [{keys}]}}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let (code, _, stderr) = run(command(&["check"]).current_dir(&*dir));
        assert_eq!(code, Some(0), "{stderr}");
        stderr
    };
    assert_eq!(told(&public), "");
    let unknown = "{\"kty\": \"AKP\", \"kid\": \"pq\"}";
    let stderr = told(&format!("{public}, {unknown}"));
    let line = "keys.json: key \"pq\" is left out: its kty \"AKP\" is not known here\n";
    assert!(stderr.starts_with("kolk: warn: ") && stderr.ends_with(line), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let secret = "{\"kty\": \"oct\", \"k\": \"c2VjcmV0IHRoYXQgaXMgbG9uZyBlbm91Z2ggZm9yIGl0\"}";
    let private = public.replace("\"x\"", "\"d\": \"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\", \"x\"");
    for keys in [secret, &private] {
        let stderr = told(keys);
        assert!(
            stderr.ends_with("keys.json: everybody on this machine can read it: chmod o-r\n"),
            "{stderr}"
        );
    }
}

#[test]
fn what_is_said_beside_a_file_counts_or_is_told() {
    let dir = Scratch::new("beside");
    let logs = "[log.access.a]\nto = \"a.log\"\n[log.access.b]\nto = \"b.log\"\n";
    let site = "[[site]]\nhosts = \"*\"\naccess_log = \"a\"\nrespond = 404\n";
    dir.put("kolk.toml", format!("{logs}{site}"));
    let check = |flags: &[&str], variables: &[(&str, &str)]| {
        run(command(&["check"]).args(flags).envs(variables.iter().copied()).current_dir(&*dir))
    };
    // One log for both is one file, as it is for the server.
    let (code, _, told) = check(&["--log", "json", "--log-file", "one.log"], &[]);
    assert_eq!((code, &*told), (Some(0), ""));
    for command in ["check", "serve"] {
        let flags = [command, "--log-file", "one.log"];
        let (code, _, told) = run(program::command(&flags).current_dir(&*dir));
        assert!(code == Some(2) && told.contains("--log-file says nothing without --log"), "{told}");
    }
    let (code, _, told) = check(&[], &[("KOLK_LOG_FILE", "one.log")]);
    assert!(code == Some(0) && told.contains("warn: KOLK_LOG_FILE says nothing without --log"), "{told}");
    // `PORT` is for whoever says nothing else.
    let (_, dump, _) = check(&["--dump"], &[("PORT", "3000")]);
    let line = dump.lines().find(|line| line.starts_with("addr = ")).unwrap_or_else(|| panic!("{dump}"));
    assert!(
        line.starts_with("addr = \"127.0.0.1:3000\"") && line.ends_with("# PORT of the environment"),
        "{line}"
    );
    let kolk = Kolk::spawn(command(&["serve"]).env("PORT", "0").current_dir(&*dir));
    assert!(kolk.address.starts_with("127.0.0.1:") && kolk.address != "127.0.0.1:8080", "{}", kolk.address);
    let (_, dump, _) = check(&["--dump", "-l", ":81"], &[("PORT", "3000")]);
    assert!(dump.contains("addr = \":81\"") && !dump.contains("3000"), "{dump}");
    dir.put("kolk.toml", format!("[[listen]]\naddr = \":82\"\n{logs}{site}"));
    let (_, dump, _) = check(&["--dump"], &[("PORT", "3000")]);
    assert!(dump.contains("addr = \":82\"") && !dump.contains("3000"), "{dump}");
}

#[test]
fn what_this_machine_lacks_is_told_before_a_start_and_at_one() {
    let dir = Scratch::new("check-machine");
    dir.put("made/in-it", "");
    let site = "[[site]]\nhosts = \"*\"\nrespond = 404\n";
    for (line, said) in [
        ("[server]\nuser = \"a-name-that-nobody-has\"", "there is no user `a-name-that-nobody-has`"),
        ("[server]\nuser = \"0:a-group-that-is-none\"", "there is no group `a-group-that-is-none`"),
        ("[server]\npid_file = \"run/kolk.pid\"", "there is no folder run"),
        ("[server]\nadmin = \"unix:run/admin.sock\"", "there is no folder run"),
        ("[server]\nadmin = \"unix:kolk.toml/admin.sock\"", "there is no folder kolk.toml"),
        ("[[listen]]\naddr = \"unix:run/kolk.sock\"", "there is no folder run"),
        ("[[listen]]\naddr = \"unix:kolk.toml\"", "kolk.toml is there already, and is no socket"),
        ("[server]\nadmin = \"unix:made\"", "made is there already, and is no socket"),
        ("[server]\npid_file = \"made\"", "made is there already, and is a folder"),
    ] {
        dir.put("kolk.toml", format!("{line}\n{site}"));
        let (code, _, told) = run(command(&["check"]).current_dir(&*dir));
        assert_eq!(code, Some(3), "{line}: {told}");
        assert!(told.contains(said) && told.contains(" --> kolk.toml:2:"), "{line}: {told}");
        let (code, _, told) = run(command(&["serve"]).current_dir(&*dir));
        assert_eq!(code, Some(3), "{line}: {told}");
        assert!(told.contains(said) && told.contains(" --> kolk.toml:2:"), "{line}: {told}");
    }
}

#[test]
fn the_schema_is_for_editors() {
    let (code, stdout, stderr) = run(&mut command(&["schema"]));
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(stdout.starts_with("{\n  \"$schema\"") && stdout.ends_with("}\n"), "{stdout}");
}

#[test]
fn the_doctor_tells_of_all_four_stages() {
    let (code, stdout, stderr) = run(&mut command(&["doctor"]));
    assert_eq!(stderr, "");
    assert_eq!(code, Some(i32::from(stdout.contains("\n      mend  "))), "{stdout}");
    for stage in ["accept\n", "\nparse\n", "\nhandle\n"] {
        assert!(stdout.contains(stage), "{stage:?} is missing in:\n{stdout}");
    }
    let (code, _, stderr) = run(&mut command(&["doctor", "--pid", "4294967295"]));
    assert_eq!(code, Some(2), "{stderr}");
    let (code, stdout, _) = run(&mut command(&["doctor", "--json", "--backlog", "4294967295"]));
    assert!(stdout.starts_with("{\"fine\":"), "{stdout}");
    if cfg!(target_os = "linux") {
        assert_eq!(code, Some(1), "no queue is that long: {stdout}");
        assert!(stdout.contains("sysctl -w net.core.somaxconn=4294967295"), "{stdout}");
    }
}

#[test]
fn a_code_for_the_telephone() {
    let dir = Scratch::new("qr");
    let path = dir.to_str().unwrap();
    let kolk = Kolk::start(&["serve", "--qr=http://192.0.2.7:8080", path]);
    kolk.says("▄▄▄▄▄");
    kolk.says("  http://192.0.2.7:8080");
    let kolk = Kolk::start(&["serve", "--qr", path]);
    kolk.says("no other device can reach these addresses: add -l :8080");
}

#[test]
fn the_browser_is_opened_but_never_as_root() {
    let dir = Scratch::new("open");
    let opener = dir.join(if cfg!(target_os = "macos") { "open" } else { "xdg-open" });
    let opened = dir.join("opened");
    fs::write(&opener, format!("#!/bin/sh\necho \"$1\" >{}\n", opened.display())).unwrap();
    for (path, mode) in [(&*opener, 0o755), (&*dir, 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let serve = ["serve", "--open", dir.to_str().unwrap(), "-w", "1", "-l", "127.0.0.1:0"];
    let is_root = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"));
    let mut first = command(&serve);
    if is_root {
        let kolk = Kolk::spawn(command(&serve).env("PATH", &path));
        kolk.says("--open: not as root");
        assert!(!opened.exists());
        first.args(["--user", "12345"]);
    }
    let kolk = Kolk::spawn(first.env("PATH", &path));
    let url = format!("http://{}\n", kolk.address);
    assert!(eventually(|| fs::read_to_string(&opened).is_ok_and(|text| text == url)));
    let kolk = Kolk::spawn(command(&serve).env("PATH", "/no/such/folder"));
    kolk.says("--open: ");
    assert_eq!(kolk.get("/xdg-open").status(), 200, "no browser is no reason not to serve");
}

/// On a terminal, which script(1) of util-linux makes; without it there is nothing to see.
#[test]
fn the_status_line_is_for_terminals_and_leaves_no_trace() {
    let dir = Scratch::new("status");
    let kolk = command(&["serve", dir.to_str().unwrap(), "-w", "1", "-l", "127.0.0.1:0"]);
    let line: Vec<_> = kolk.get_args().map(|argument| argument.to_str().unwrap()).collect();
    let line = format!(
        "{} {} & sleep 0.3; kill -TERM $!; wait $!",
        kolk.get_program().to_str().unwrap(),
        line.join(" ")
    );
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null());
    for (name, _) in kolk.get_envs() {
        script.env_remove(name);
    }
    let Ok(output) = script.output() else { return };
    let seen = String::from_utf8(output.stdout).unwrap();
    if !seen.contains("listening http://") {
        return;
    }
    assert!(seen.contains("\x1b[?7l0 connections · 0 requests/s"), "{seen:?}");
    assert!(seen.contains("\r\x1b[Kkolk: draining"), "a line stands above the status line: {seen:?}");
    assert!(seen.ends_with("\r\x1b[K"), "{seen:?}");

    let mut kolk = Kolk::start(&["serve", dir.to_str().unwrap()]);
    kolk.signal("TERM");
    let lines: Vec<String> = std::iter::from_fn(|| kolk.stderr.recv().ok()).collect();
    assert!(lines.iter().all(|line| !line.contains("requests/s")), "no terminal, no line: {lines:?}");
    assert_eq!(kolk.ended(), Some(0));
}

/// On a terminal, as above.
#[cfg(feature = "top")]
#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let dir = Scratch::new("top-signal");
    let admin = free_address();
    let _kolk = Kolk::start(&["--admin", &admin]);
    let number = dir.join("pid");
    for signal in ["TERM", "INT", "HUP"] {
        let line = format!("echo $$ >{}; exec {} top {admin}", number.display(), env!("CARGO_BIN_EXE_kolk"));
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null());
        let Ok(mut script) = script.stdout(Stdio::piped()).spawn() else { return };
        let mut screen = script.stdout.take().unwrap();
        let mut seen = String::new();
        let mut read = |until: &str| {
            let mut bytes = [0; 4096];
            while !seen.contains(until) {
                match std::io::Read::read(&mut screen, &mut bytes) {
                    Ok(count @ 1..) => seen += &String::from_utf8_lossy(&bytes[..count]),
                    _ => break,
                }
            }
            seen.clone()
        };
        if !read("\x1b[?1049h").contains("\x1b[?1049h") {
            // No terminal can be had here.
            let _ = script.wait();
            return;
        }
        let process = fs::read_to_string(&number).unwrap().trim().parse().unwrap();
        program::signal(signal, process);
        let seen = read("\0nothing");
        assert!(seen.contains("\x1b[?1049l") && seen.contains("\x1b[?25h"), "{signal}: {seen:?}");
        // It has died of it.
        assert_ne!(script.wait().unwrap().code(), Some(0), "{signal}");
    }
}

/// The program's answer to what is typed into it: exit code, standard output, standard error.
fn hashed(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = command(&["hash-password"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_password_is_hashed_and_then_let_in() {
    for (algorithm, prefix) in [("bcrypt", "$2b$"), ("sha512", "$6$"), ("argon2", "$argon2id$")] {
        let (code, hash, said) = hashed(&["--algorithm", algorithm], b"secret\nmore\n");
        assert_eq!((code, said.as_str()), (0, ""), "{algorithm}");
        assert!(hash.starts_with(prefix) && hash.ends_with('\n') && !hash.contains("secret"), "{hash}");
    }
    let (code, hash, said) = hashed(&[], b"\n");
    assert_eq!((code, hash.as_str()), (2, ""));
    assert!(said.contains("1 to 512 bytes"), "{said}");

    let (_, hash, _) = hashed(&[], b"secret");
    let kolk = Kolk::start(&["serve", ".", "--auth", &format!("ada:{}", hash.trim())]);
    let mut client = kolk.connect();
    client.send("GET /Cargo.toml HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWRhOnNlY3JldA==\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    assert_eq!(client.get("/Cargo.toml").status(), 401);
}

#[test]
fn uploads_for_everybody_are_refused_at_the_start() {
    let output = command(&["serve", "--upload", "-l", ":0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().count() == 1 && said.contains("--auth USER:HASH"), "{said}");
    let output = command(&["serve", "--auth", "ada:secret"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("kolk hash-password") && !said.contains("secret"), "{said}");
}
