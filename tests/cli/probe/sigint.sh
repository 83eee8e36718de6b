# a shell ignores SIGINT for what it starts in the background; python gives it back
python3 - <<'EOF'
import signal, subprocess, time
def start(*more):
    child = subprocess.Popen(["probe", "-q", "--wait", "30s", *more], stderr=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    time.sleep(0.3)
    return child
child = start("--fail", "resumable")
child.send_signal(signal.SIGINT)
print(child.stderr.read().decode().strip(), child.wait())
EOF
