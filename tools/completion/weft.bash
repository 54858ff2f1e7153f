# SPDX-License-Identifier: MIT
# Completion of `weft` for bash.

_weft_run_options='--jobs --max-procs --arg-file --null --delimiter --no-run-if-empty --quote --keep-order --tag --tagstring --ungroup
    --progress --eta --json --keys --why --no-keys --delay --load --memory --memfree --jobserver
    --group --no-keep-order --line-buffer --linebuffer --lb --results --result --res --report --no-report --quiet
    --verbose --trace --dry-run --bar --joblog --jl --resume --resume-failed --retries --timeout --halt --halt-on-error --nice --help
    --colsep --trim --header --link --xapply --shuf --arg-sep --arg-file-sep --replace --max-args --max-replace-args --max-lines --xargs --max-chars
    --pipe --spreadstdin --pipe-part --pipepart --block --block-size --recstart --recend --remove-rec-sep --removerecsep --rrs
    --wd --workdir --env --process-slot-var
    -j -P -a -0 -d -r -q -k -u -v -t -E -C -I -i -n -N -L -l -X -m -s'

# Puts what fits the word into COMPREPLY: _weft_fit WORDS
_weft_fit() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_weft_run() {
    local word=$1 before=$2 i
    # After a list's beginning, and after the command's name, it is file names.
    for ((i = 2; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == :::* ]] && return
    done
    case $before in
        -a | --arg-file | --joblog | --jl | --results | --result | --res) return ;;
        -j | -P | --jobs | --max-procs) _weft_fit '0 50% 100% 200% +1 -1' "$word" ;;
        --halt | --halt-on-error) _weft_fit 'never now,fail=1 soon,fail=1 now,success=1 soon,success=1 now,done=1 soon,fail=10%' "$word" ;;
        --delay) _weft_fit '1 500ms 1m' "$word" ;;
        --load) _weft_fit '100% 80%' "$word" ;;
        --memory | --memfree) _weft_fit '500M 1G 2G' "$word" ;;
        --timeout) _weft_fit '10 1m 1h 200%' "$word" ;;
        --retries) _weft_fit '2 3 5 0' "$word" ;;
        --nice) _weft_fit '5 10 19' "$word" ;;
        --wd | --workdir) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        --env) mapfile -t COMPREPLY < <(compgen -e -- "$word") ;;
        --block | --block-size) _weft_fit '100k 1M 10M -1 -10' "$word" ;;
        --trim) _weft_fit 'l r lr n' "$word" ;;
        --header) _weft_fit ': 0' "$word" ;;
        -n | -N | -L | --max-args | --max-replace-args) _weft_fit '1 2 10 100' "$word" ;;
        -d | --delimiter | --tagstring | -E | -C | --colsep | -I | -s | --max-chars | --arg-sep | --arg-file-sep | --process-slot-var | --recstart | --recend) ;;
        *)
            if [[ $word == -* ]]; then
                _weft_fit "$_weft_run_options" "$word"
            else
                mapfile -t COMPREPLY < <(compgen -c -- "$word")
            fi
            ;;
    esac
}

_weft() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _weft_fit 'run serve manager call worker fetch blocking ps clean --help --version' "$word"
    elif [[ ${COMP_WORDS[1]} == run ]]; then
        _weft_run "$word" "$before"
    elif [[ ${COMP_WORDS[1]} == serve ]]; then
        case $before in
            -t | --task) _weft_fit 'coroutine thread process' "$word" ;;
            -l | --listen) _weft_fit '127.0.0.1:0 unix: abstract:' "$word" ;;
            *) _weft_fit 'echo upper files --listen --task --threads --limit --idle --grace --help' "$word" ;;
        esac
    elif [[ ${COMP_WORDS[1]} == fetch ]]; then
        case $before in
            -j | --jobs) _weft_fit '32 100 1000' "$word" ;;
            -a | --arg-file) ;;
            --output) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
            *) _weft_fit '--jobs --arg-file --output --retries --timeout --json --help' "$word" ;;
        esac
    elif [[ ${COMP_WORDS[1]} == ps ]]; then
        _weft_fit '--why --json --help -w -j' "$word"
    fi
}

complete -o default -F _weft weft
