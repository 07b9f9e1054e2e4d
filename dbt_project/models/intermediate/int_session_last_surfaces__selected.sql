-- A surface that nothing has measured yet is never a session's last word.
with quality as (

    select * from {{ ref('stg_lake__surface_quality') }}

),

final as (

    select
        underlying,
        session_date,
        max(event_at) as event_at,
    from quality
    group by underlying, session_date

)

select * from final
