-- Shares are of added-up hits and trials: a session with few of them counts as few.

{% set measures = [
    'recall',
    'recall_at_alert_rate',
    'precision',
    'false_discovery',
    'any_false_discovery',
    'alert_rate',
    'confirmation',
    'confirmation_base',
] %}

with counted as (

    select *
    from {{ ref('stg_lake__anomaly_evaluation') }}
    where slot = -1 and severity = 'any'

),

by_session as (

    select
        underlying,
        session_date,
        method,
        injected_kind,
        injected_size,
        max(event_at) as event_at,
        max(known_at) as known_at,
        bool_and(is_null_known) as is_null_known,
        max(history_sessions) as history_sessions,
        {% for name in measures -%}
        coalesce(sum(hits) filter (where measure = '{{ name }}'), 0) as {{ name }}_hits,
        coalesce(sum(trials) filter (where measure = '{{ name }}'), 0) as {{ name }}_trials,
        {% endfor %}
    from counted
    group by all

),

looked_back as (

    select
        *,
        count(*) over recent as trailing_sessions,
        {% for name in measures -%}
        sum({{ name }}_hits) over recent
        / nullif(sum({{ name }}_trials) over recent, 0) as trailing_{{ name }},
        {% endfor %}
    from by_session
    window recent as (
        partition by underlying, method, injected_kind, injected_size, is_null_known
        order by session_date
        rows between 59 preceding and current row
    )

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            underlying,
            session_date,
            method,
            injected_kind,
            injected_size
        ) as anomaly_precision_id,
        concat_ws('|', underlying, session_date) as session_id,
        underlying,
        session_date,
        event_at,
        known_at,
        method,
        injected_kind,
        injected_size,

        -- the session
        is_null_known,
        history_sessions,
        recall_trials as injected_rows,
        recall_hits as found_rows,
        recall_hits / nullif(recall_trials, 0) as recall,
        recall_at_alert_rate_hits
        / nullif(recall_at_alert_rate_trials, 0) as recall_at_alert_rate,
        precision_hits / nullif(precision_trials, 0) as precision_share,
        false_discovery_hits / nullif(false_discovery_trials, 0) as false_discovery_share,
        any_false_discovery_trials as snapshots,
        any_false_discovery_hits as snapshots_with_discoveries,
        alert_rate_trials as scored_rows,
        alert_rate_hits as alerted_rows,
        confirmation_trials as confirmation_pairs,
        confirmation_hits / nullif(confirmation_trials, 0) as confirmation_share,
        confirmation_base_hits / nullif(confirmation_base_trials, 0) as confirmation_base_share,

        -- this session and up to 59 before it
        trailing_sessions,
        trailing_recall,
        trailing_recall_at_alert_rate,
        trailing_precision as trailing_precision_share,
        trailing_false_discovery as trailing_false_discovery_share,
        trailing_any_false_discovery as trailing_any_discovery_share,
        trailing_alert_rate,
        trailing_confirmation as trailing_confirmation_share,
        trailing_confirmation_base as trailing_confirmation_base_share,
    from looked_back

)

select * from final
