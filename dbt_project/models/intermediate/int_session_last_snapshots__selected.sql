-- A snapshot without levels (not derived yet, or not priceable) is never a session's last word.
with levels as (

    select * from {{ ref('stg_lake__exposure_levels') }}

),

final as (

    select
        underlying,
        session_date,
        model,
        max(event_at) as event_at,
    from levels
    group by underlying, session_date, model

)

select * from final
