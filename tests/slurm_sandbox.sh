#!/usr/bin/env bash
# A Slurm of one node for tests: no systemd, no accounting database, pretend GPUs. Needs root, and Debian's slurmctld,
# slurmd, slurm-client and munge. It takes /etc/slurm only where no other configuration is.
#
#   tests/slurm_sandbox.sh up [GPUS=4] [CPUS=8]
#   tests/slurm_sandbox.sh down
set -euo pipefail
folder=${SLURM_SANDBOX:-${TMPDIR:-/tmp}/medstress-slurm}
host=$(hostname -s)
mark="# made by tests/slurm_sandbox.sh"

ours() { grep -qsF "$mark" /etc/slurm/slurm.conf; }

# wait_for TENTHS COMMAND...
wait_for() {
    local tenths=$1 i
    shift
    for ((i = 0; i < tenths; i++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}

pid_of() { cat "$folder/$1.pid" 2>/dev/null; }
# A daemon that nobody waited for is a zombie, and that is ended too.
ended() { ! grep -qs '^State:[[:space:]]*[RSDTtI]' "/proc/$1/status"; }
munge_answers() { munge -n </dev/null | unmunge; }
node_is_idle() { [ "$(sinfo -h -o %T)" = idle ]; }
no_jobs() { [ -z "$(squeue -h)" ]; }

down() {
    local daemon pid
    if ours && scancel --user="$(id -un)" 2>/dev/null; then
        wait_for 50 no_jobs || true
    fi
    for daemon in slurmd slurmctld munged; do
        pid=$(pid_of $daemon) || continue
        kill "$pid" 2>/dev/null || continue
        wait_for 50 ended "$pid" || kill -9 "$pid" 2>/dev/null || true
    done
    if ours; then rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf; fi
    rm -rf "$folder"
}

start_munge() {
    # It insists that key, socket and log belong to its own user.
    install -d -o munge -g munge -m 0755 /run/munge
    install -d -o munge -g munge -m 0700 /etc/munge /var/lib/munge /var/log/munge
    [ -s /etc/munge/munge.key ] || dd if=/dev/urandom bs=1024 count=1 of=/etc/munge/munge.key status=none
    chown munge:munge /etc/munge/munge.key
    chmod 0400 /etc/munge/munge.key
    setpriv --reuid munge --regid munge --clear-groups munged --force
    wait_for 50 munge_answers
    cp /run/munge/munged.pid "$folder/munged.pid"
}

up() {
    local gpus=${1:-4} cpus=${2:-8} i
    if [ -e /etc/slurm/slurm.conf ] && ! ours; then
        echo "/etc/slurm/slurm.conf belongs to another Slurm: not touched" >&2
        return 1
    fi
    down
    mkdir -p "$folder"/{state,spool,log,dev} /etc/slurm
    munge_answers >/dev/null 2>&1 || start_munge
    # Slurm wants character devices and reads ids off their names. These are copies of /dev/null.
    for ((i = 0; i < gpus; i++)); do mknod "$folder/dev/nvidia$i" c 1 3; done
    # The default place, because the plug-in drops SLURM_CONF from a job's environment.
    cat >/etc/slurm/gres.conf <<EOF
$mark
NodeName=$host Name=gpu File=$folder/dev/nvidia[0-$((gpus - 1))]
EOF
    # config_overrides lets a small machine pose as a large one. DefMemPerCPU, or a job without --mem takes all memory.
    cat >/etc/slurm/slurm.conf <<EOF
$mark
ClusterName=sandbox
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
MpiDefault=none
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=2
ReturnToService=2
MinJobAge=600
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=64000 Gres=gpu:$gpus State=UNKNOWN
PartitionName=sandbox Nodes=$host Default=YES MaxTime=1-00:00:00 State=UP
EOF
    slurmctld
    slurmd
    if ! wait_for 100 node_is_idle; then
        tail -n 20 "$folder"/log/*.log >&2
        return 1
    fi
}

"$@"
